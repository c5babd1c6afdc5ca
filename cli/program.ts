import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { didYouMean } from '../config/suggest.ts';
import { EXIT } from '../src/errors.ts';
import { VERSION } from '../src/version.ts';
import type { ConfigFlags } from './config-command.ts';
import type { CliIo } from './io.ts';
import { demo } from './demo.ts';
import { once } from './once.ts';
import { prometheus } from './prometheus.ts';
import { run } from './run.ts';
import { validate } from './validate.ts';

const SOURCES = `where data come from:
  auto                   the best that works on this host, for each metric group
  neuron-monitor[:PATH]  AWS's binary as a child process
  native                 without AWS's binary
  -                      a neuron-monitor stream on stdin
  file:PATH              a recorded stream, at its own pace or with --speed max
  virtual[:TYPE]         a simulated host, such as virtual:trn2.48xlarge`;

const EXAMPLES = `
Examples:
  neuron-otel                                       neuron-monitor's JSON on stdout, as neuron-monitor itself
  neuron-otel -c agent.yaml                         as configured
  neuron-otel --exporter prometheus,otlp            Prometheus on 127.0.0.1:9464 and OTLP to localhost:4318
  neuron-monitor | neuron-otel --source - --exporter otlp
  neuron-monitor | neuron-otel prometheus -p 8000   in place of neuron-monitor-prometheus.py
  neuron-otel once --format prometheus              one collection, then exit

Exit codes: 0 done, 1 failed, 2 wrong usage, 78 invalid configuration`;

/** Parses the command line, runs the command and returns the exit code. Usage errors are explained on stderr. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram(io, (code) => {
    exitCode = code;
  });
  const [first] = argv;
  const commands = [...program.commands.map((command) => command.name()), 'help'];
  if (first !== undefined && !first.startsWith('-') && !commands.includes(first)) {
    io.stderr.write(
      `neuron-otel: there is no command ${JSON.stringify(first)}${didYouMean(first, commands)}\n(neuron-otel --help shows all commands)\n`,
    );
    return EXIT.usage;
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  return exitCode;
}

function createProgram(io: CliIo, exit: (code: number) => void): Command {
  const program = new Command('neuron-otel')
    .description('OpenTelemetry agent for AWS Neuron hosts (Inferentia, Trainium).')
    .version(`neuron-otel ${VERSION}`, '--version', 'print the version and exit')
    .exitOverride()
    .configureOutput({ writeOut: (text) => void io.stdout.write(text), writeErr: (text) => void io.stderr.write(text) })
    .showSuggestionAfterError()
    .showHelpAfterError('(neuron-otel --help shows all commands and flags)')
    .addHelpText('after', EXAMPLES);
  const commands = [
    runCommand(io, exit),
    onceCommand(io, exit),
    validateCommand(io, exit),
    prometheusCommand(io, exit),
    demoCommand(io, exit),
  ];
  for (const command of commands) {
    command.copyInheritedSettings(program);
    program.addCommand(command, command.name() === 'run' ? { isDefault: true } : {});
  }
  return program;
}

function runCommand(io: CliIo, exit: (code: number) => void): Command {
  return common(new Command('run').description('collect and export until stopped (the default command)'))
    .addOption(
      new Option('--exporter <list>', 'exporters, comma-separated: json_stdout, prometheus, otlp; default json_stdout').argParser(list),
    )
    .addOption(new Option('--naming <naming>', 'names on the Prometheus page').choices(['otel', 'legacy', 'both']))
    .addOption(
      new Option(
        '--web.listen-address <address...>',
        'where the Prometheus page listens: HOST:PORT, [IPV6]:PORT or :PORT; default 127.0.0.1:9464',
      ),
    )
    .addOption(new Option('--web.systemd-socket', 'take connections from the sockets of a systemd .socket unit instead'))
    .addOption(new Option('--web.config.file <file>', 'web configuration file of Prometheus exporters: TLS, users, headers, rate limit'))
    .addOption(new Option('--web.telemetry-path <path>', 'path of the Prometheus page; default /metrics'))
    .addOption(new Option('--web.max-requests <n>', 'scrapes answered at the same time; default 40').argParser(positiveInteger))
    .action(async (flags: ConfigFlags) => exit(await run(flags, io)));
}

function onceCommand(io: CliIo, exit: (code: number) => void): Command {
  return common(new Command('once').description('print one collection and exit'))
    .addOption(new Option('--format <format>', 'what to print').choices(['json', 'prometheus', 'otlp-json']).makeOptionMandatory())
    .addOption(new Option('--naming <naming>', 'names of Prometheus metrics').choices(['otel', 'legacy', 'both']).default('otel'))
    .addOption(new Option('--self-metrics', "include the agent's own metrics"))
    .action(async (flags: Parameters<typeof once>[0]) => exit(await once(flags, io)));
}

function validateCommand(io: CliIo, exit: (code: number) => void): Command {
  return common(new Command('validate').description('check the configuration; print groups → periods → readers → exporters'))
    .addOption(new Option('--exporter <list>', 'exporters, comma-separated').argParser(list))
    .action(async (flags: ConfigFlags) => exit(await validate(flags, io)));
}

function prometheusCommand(io: CliIo, exit: (code: number) => void): Command {
  return new Command('prometheus')
    .description('read a neuron-monitor stream on stdin and serve the page of neuron-monitor-prometheus.py')
    .addOption(new Option('-p, --port <port>', 'port to listen on, all addresses').argParser(port).default(8000))
    .addOption(new Option('--key-file <file>', 'private key for HTTPS, PEM'))
    .addOption(new Option('--cert-file <file>', 'certificate for HTTPS, PEM; read again when it changes'))
    .addOption(new Option('--enable-k8s-info', 'add pod, namespace and container labels where the stream has them'))
    .addOption(verboseOption())
    .addOption(logFormatOption())
    .action(async (flags: Parameters<typeof prometheus>[0]) => exit(await prometheus(flags, io)));
}

function demoCommand(io: CliIo, exit: (code: number) => void): Command {
  return new Command('demo')
    .description('a living agent without Neuron hardware: a simulated Neuron workload beside the CPU and memory of this machine')
    .addOption(new Option('-p, --port <port>', 'port of the Prometheus page on 127.0.0.1').argParser(port).default(9464))
    .addOption(new Option('--instance-type <type>', 'simulated instance type').default('trn2.48xlarge'))
    .addOption(new Option('--seconds <n>', 'stop after this many seconds').argParser(positiveInteger))
    .addOption(verboseOption())
    .addOption(logFormatOption())
    .action(async (flags: Parameters<typeof demo>[0]) => exit(await demo(flags, io)));
}

function common(command: Command): Command {
  return command
    .addOption(new Option('-c, --config-file <file>', "neuron-monitor's configuration file, or the agent's own (JSON or YAML)"))
    .addOption(verboseOption())
    .addOption(logFormatOption())
    .addOption(new Option('--source <spec>', SOURCES))
    .addOption(new Option('--speed <speed>', 'pace of a recorded stream').choices(['recorded', 'max']));
}

function verboseOption(): Option {
  return new Option(
    '--verbose <level>',
    'log on stderr: 0 nothing, 1 errors, 2 warnings, 3 state changes (default), 4 every cycle',
  ).argParser(verbosity);
}

function logFormatOption(): Option {
  return new Option('--log-format <format>', 'form of the log lines').choices(['text', 'json']);
}

function verbosity(text: string): number {
  if (!/^[0-4]$/.test(text)) throw new InvalidArgumentError('It takes a number from 0 to 4.');
  return Number(text);
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 65_535) throw new InvalidArgumentError('It takes a port number from 0 to 65535.');
  return value;
}

function positiveInteger(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It takes a positive whole number.');
  return Number(text);
}

function list(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
