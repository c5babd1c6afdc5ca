/**
 * `npm run bench -- line [--rounds N]`: one 440 kB record of a host with 32 Neuron processes, through the whole agent and through
 * Python's prometheus_client doing the work of neuron-monitor-prometheus.py.
 *
 * The agent runs as it does in production, as one process: it reads the line from stdin, passes it on to stdout, pushes OTLP
 * (http/protobuf) and serves its Prometheus page, which is scraped after each record. The peer reads the line, sets its metrics and renders
 * its page; it sends nothing anywhere. CPU time is all threads of the process, as the kernel counts it.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { peerPath } from '../scripts/peers.ts';
import { residentBytes } from './cpu-time.ts';
import { neuronMonitorLine } from './neuron-monitor-line.ts';
import { closingLine, describeSummary, mean, summarize } from './statistics.ts';
import { ended, startWholeAgent, within } from './whole-agent.ts';
import type { Cost } from './whole-agent.ts';

const RUNTIMES = 32;
/** Different records, taken in turn, so that nothing can be answered from the record before. */
const LINES = Array.from({ length: 8 }, (_, sequence) => `${neuronMonitorLine({ runtimes: RUNTIMES, sequence })}\n`);
const RECORDS_PER_ROUND = 5;
const WARM_UP_RECORDS = 30;
const DEFAULT_ROUNDS = 12;

/** A process that takes a line and is done with it when `record` resolves. */
interface Contestant extends AsyncDisposable {
  record(line: string): Promise<Cost>;
  readonly residentBytes: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const rounds = args[0] === '--rounds' ? Number(args[1]) : DEFAULT_ROUNDS;
  if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError('--rounds takes a positive whole number');
  await using agent = await startWholeAgent();
  await using peer = startPeer();
  const costs = { agent: new Array<Cost>(), peer: new Array<Cost>() };
  for (let index = 0; index < WARM_UP_RECORDS; index += 1) {
    await agent.record(lineAt(index));
    await peer.record(lineAt(index));
  }
  for (let round = 0; round < rounds; round += 1) {
    // Who goes first changes, so that neither always runs on the warmer core.
    const order = round % 2 === 0 ? (['agent', 'peer'] as const) : (['peer', 'agent'] as const);
    for (const who of order) costs[who].push(await runRound(who === 'agent' ? agent : peer, round));
  }
  console.log(
    `line: ${Buffer.byteLength(lineAt(0))} bytes, ${RUNTIMES} Neuron processes; ${rounds} rounds of ${RECORDS_PER_ROUND} records each`,
  );
  console.log(`line: the agent's page has ${Buffer.byteLength(agent.page)} bytes, its OTLP ${agent.otlpBytes}`);
  report(costs.agent, costs.peer);
  const resident = { ours: agent.residentBytes / 2 ** 20, peer: peer.residentBytes / 2 ** 20 };
  console.log(closingLine({ measure: 'line/resident_mib', ...resident, better: 'less', goal: '<=90' }));
}

async function runRound(contestant: Contestant, round: number): Promise<Cost> {
  const costs: Cost[] = [];
  for (let index = 0; index < RECORDS_PER_ROUND; index += 1) costs.push(await contestant.record(lineAt(round * RECORDS_PER_ROUND + index)));
  return { cpuMs: mean(costs.map(({ cpuMs }) => cpuMs)), wallMs: mean(costs.map(({ wallMs }) => wallMs)) };
}

function report(ours: readonly Cost[], peers: readonly Cost[]): void {
  const cpu = { ours: summarize(ours.map(({ cpuMs }) => cpuMs)), peer: summarize(peers.map(({ cpuMs }) => cpuMs)) };
  const rate = {
    ours: summarize(ours.map(({ wallMs }) => 1000 / wallMs)),
    peer: summarize(peers.map(({ wallMs }) => 1000 / wallMs)),
  };
  console.log(describeSummary('agent, CPU per record', cpu.ours, 'ms'));
  console.log(describeSummary('prometheus_client, CPU per record', cpu.peer, 'ms'));
  console.log(describeSummary('agent', rate.ours, 'records/s'));
  console.log(describeSummary('prometheus_client', rate.peer, 'records/s'));
  console.log(
    closingLine({ measure: 'line/cpu_ms_per_record', ours: cpu.ours.median, peer: cpu.peer.median, better: 'less', goal: '<=20' }),
  );
  console.log(
    closingLine({ measure: 'line/records_per_second', ours: rate.ours.median, peer: rate.peer.median, better: 'more', goal: '>=50' }),
  );
}

/** Python says how long it took, without the time it waits for the line. */
function startPeer(): Contestant {
  const python = peerPath('python', (line) => console.log(`line: ${line}`));
  const child = spawn(python, [join(import.meta.dirname, 'line_peer.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const { pid } = child;
  if (pid === undefined) throw new Error('Python did not start');
  let answered: ((answer: string) => void) | undefined;
  child.stdout.setEncoding('utf8').on('data', (answer: string) => answered?.(answer));
  return {
    async record(line) {
      const answer = new Promise<string>((done) => {
        answered = done;
      });
      child.stdin.write(line);
      const [cpuNs, wallNs] = (await within(answer, 'answer of prometheus_client')).split(' ').map(Number);
      if (cpuNs === undefined || wallNs === undefined) throw new Error('prometheus_client gave no times');
      return { cpuMs: cpuNs / 1e6, wallMs: wallNs / 1e6 };
    },
    get residentBytes() {
      return residentBytes(pid);
    },
    [Symbol.asyncDispose]: () => ended(child),
  };
}

function lineAt(index: number): string {
  return LINES[index % LINES.length] ?? '';
}
