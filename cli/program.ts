import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { EXPORTER_FLAG } from '../config/exporters.ts';
import { AGENT_SECTION } from '../config/schema.ts';
import { didYouMean } from '../config/suggest.ts';
import { PROMETHEUS_TYPE } from '../exporters/prometheus/settings.ts';
import { SOURCE_SECTION } from '../sources/settings.ts';
import { AgentError, EXIT } from '../src/errors.ts';
import type { Setting } from '../src/settings.ts';
import { VERSION } from '../src/version.ts';
import type { ConfigInput } from './config.ts';
import type { CliIo } from './io.ts';
import { demo } from './demo.ts';
import type { DemoInput } from './demo.ts';
import { once } from './once.ts';
import type { OnceInput } from './once.ts';
import { prometheus } from './prometheus.ts';
import type { PrometheusInput } from './prometheus.ts';
import { run } from './run.ts';
import { validate } from './validate.ts';

const SOURCES = `Where data come from:
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

Signals: SIGHUP reads the configuration of a run again; SIGINT, SIGTERM, SIGQUIT, SIGUSR2 and SIGALRM stop in good order

Exit codes: 0 done, 1 failed, 2 wrong usage, 70 the stop was held up for 8 s and cut off, 78 invalid configuration`;

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
    if (thrown instanceof AgentError && thrown.code === 'config_invalid') {
      io.stderr.write(`neuron-otel: ${thrown.message}\n`);
      return EXIT.config;
    }
    if (!(thrown instanceof CommanderError)) throw thrown;
    return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  return exitCode;
}

function createProgram(io: CliIo, exit: Exit): Command {
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

type Exit = (code: number) => void;

const { naming, listen, systemd_socket, web_config_file, telemetry_path, max_requests } = PROMETHEUS_TYPE.section;
const { log } = AGENT_SECTION.telemetry;

function runCommand(io: CliIo, exit: Exit): Command {
  const command = common(new Command('run').description('collect and export until stopped (the default command)'))
    .addOption(exporterOption('exporters, comma-separated: json_stdout, prometheus, otlp; default json_stdout'))
    .addOption(optionOf(naming))
    .addOption(optionOf(listen, '<address...>'))
    .addOption(optionOf(systemd_socket))
    .addOption(optionOf(web_config_file, '<file>'))
    .addOption(optionOf(telemetry_path, '<path>'))
    .addOption(optionOf(max_requests, '<n>'));
  return command.action(async () => exit(await run(inputOf(command), io)));
}

function onceCommand(io: CliIo, exit: Exit): Command {
  const command = common(new Command('once').description('print one collection and exit'))
    .addOption(new Option('--format <format>', 'what to print').choices(['json', 'prometheus', 'otlp-json']).makeOptionMandatory())
    .addOption(optionOf(naming).default('otel'))
    .addOption(new Option('--self-metrics', "include the agent's own metrics"));
  return command.action(async (flags: Omit<OnceInput, 'flags'>) => exit(await once({ ...flags, ...inputOf(command) }, io)));
}

function validateCommand(io: CliIo, exit: Exit): Command {
  const command = common(
    new Command('validate').description('check the configuration; print groups → periods → readers → exporters'),
  ).addOption(exporterOption('exporters, comma-separated'));
  return command.action(async () => exit(await validate(inputOf(command), io)));
}

function prometheusCommand(io: CliIo, exit: Exit): Command {
  const command = new Command('prometheus')
    .description(
      'serve the page of neuron-monitor-prometheus.py, of a neuron-monitor stream on stdin or of a neuron-monitor that it starts',
    )
    .addOption(new Option('-p, --port <port>', 'port to listen on, all addresses').argParser(integer(0, 65_535)).default(8000))
    .addOption(new Option('--key-file <file>', 'private key for HTTPS, PEM'))
    .addOption(new Option('--cert-file <file>', 'certificate for HTTPS, PEM; read again when it changes'))
    .addOption(
      new Option(
        '--neuron-monitor-config <file>',
        "start neuron-monitor with this configuration instead of reading stdin, as AWS's image does; without neuron-monitor serve natively",
      ),
    )
    .addOption(new Option('--enable-k8s-info', 'add pod, namespace and container labels where the stream has them'))
    .addOption(optionOf(log.verbosity, '<level>'))
    .addOption(optionOf(log.format));
  return command.action(async (flags: Omit<PrometheusInput, 'flags'>) => exit(await prometheus({ ...flags, ...inputOf(command) }, io)));
}

function demoCommand(io: CliIo, exit: Exit): Command {
  const command = new Command('demo')
    .description('an agent without Neuron hardware: a simulated Neuron workload beside the CPU and memory of this machine')
    .addOption(new Option('-p, --port <port>', 'port of the Prometheus page on 127.0.0.1').argParser(integer(0, 65_535)).default(9464))
    .addOption(new Option('--instance-type <type>', 'simulated instance type').default('trn2.48xlarge'))
    .addOption(new Option('--seconds <n>', 'stop after this many seconds').argParser(integer(1, 999_999_999)))
    .addOption(optionOf(log.verbosity, '<level>'))
    .addOption(optionOf(log.format));
  return command.action(async (flags: Omit<DemoInput, 'flags'>) => exit(await demo({ ...flags, ...inputOf(command) }, io)));
}

function common(command: Command): Command {
  return command
    .addOption(new Option('-c, --config-file <file>', "neuron-monitor's configuration file, or the agent's own (JSON or YAML)"))
    .addOption(optionOf(log.verbosity, '<level>'))
    .addOption(optionOf(log.format))
    .addOption(optionOf({ ...SOURCE_SECTION.spec, doc: SOURCES }, '<spec>'))
    .addOption(optionOf(SOURCE_SECTION.speed));
}

/** The flag of a setting; its help, its words and its limits are those of the setting. */
function optionOf(setting: Setting, argument = '<word>'): Option {
  const { flag = '', doc, values, format, min = 0, max = Number.MAX_SAFE_INTEGER } = setting;
  const value = setting.default;
  const isShown = typeof value === 'number' || (typeof value === 'string' && !doc.includes('\n'));
  const option = new Option(format === 'boolean' ? flag : `${flag} ${argument}`, `${doc}${isShown ? ` (default: ${value})` : ''}`);
  if (format === 'choice') return option.choices(values ?? []);
  return format === 'integer' ? option.argParser(integer(min, max)) : option;
}

function exporterOption(help: string): Option {
  return new Option(`${EXPORTER_FLAG} <list>`, help).argParser(list);
}

/** The flags that were given, as they are typed. */
function inputOf(command: Command): ConfigInput {
  const given = command.options.filter((option) => command.getOptionValueSource(option.attributeName()) !== undefined);
  const configFile: unknown = command.getOptionValue('configFile');
  return {
    flags: Object.fromEntries(given.map((option) => [option.long ?? '', command.getOptionValue(option.attributeName())])),
    ...(typeof configFile === 'string' ? { configFile } : {}),
  };
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`It takes a number from ${min} to ${max}.`);
    return value;
  };
}

function list(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
