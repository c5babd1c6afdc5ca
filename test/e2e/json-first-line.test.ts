/**
 * The agent as a neuron-monitor without AWS's binary, in real time, on a simulated host that this process keeps going: with a metadata service
 * that is slow or silent, and with a process that is stopped and continued. The readers are the consumers' own logic, restated.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { VirtualInstanceType } from '../../simulator/instances.ts';
import { createVirtualHost } from '../../simulator/virtual-host.ts';
import type { VirtualHost } from '../../simulator/virtual-host.ts';
import { systemClock } from '../../src/host.ts';
import { countsByTag } from '../support/native-agent.ts';
import { METADATA, startMetadataService } from '../support/metadata-service.ts';
import { allSmiUtilization } from '../support/readers/all-smi.ts';
import { AwsScript } from '../support/readers/aws-script.ts';
import { missingMembersOfRecord } from '../support/required-members.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { AgentProcess } from './support/agent.ts';
import { eventually } from './support/eventually.ts';
import { asObject, parseObject } from './support/json.ts';

const STEP_MS = 50;
/** The metadata service takes this long for each answer: a token, two rounds of values, and one that depends on another. */
const ANSWER_MS = 60;
/** A liveness bound, for a busy agent on a busy machine. */
const DEADLINE_MS = 30_000;

interface Setting {
  readonly instanceType: VirtualInstanceType;
  readonly periodSeconds: number;
  readonly endpoint: string;
}

class Subject {
  readonly host: VirtualHost;
  readonly agent: AgentProcess;

  constructor(host: VirtualHost, agent: AgentProcess) {
    this.host = host;
    this.agent = agent;
  }

  static async start({ instanceType, periodSeconds, endpoint }: Setting): Promise<Subject> {
    const scratch = scratchDirectory();
    const host = await createVirtualHost({ instanceType, seed: 3, directory: scratch.path, clock: systemClock, warmUpMs: 121_000 });
    const { procRoot, sysRoot, devRoot, fsRoot } = host.host;
    const agent = new AgentProcess(['--source', 'native'], {
      config: { period: `${periodSeconds}s`, source: { nds: { enabled: true } } },
      env: {
        NEURON_OTEL_PROC_ROOT: procRoot,
        NEURON_OTEL_SYS_ROOT: sysRoot,
        NEURON_OTEL_DEV_ROOT: devRoot,
        NEURON_OTEL_FS_ROOT: fsRoot,
        AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint,
      },
    });
    onTestFinished(async () => {
      await agent[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
      scratch[Symbol.dispose]();
    });
    return new Subject(host, agent);
  }

  /** Whole lines so far. */
  get lines(): readonly string[] {
    return this.agent.process.stdout.toString('utf8').split('\n').slice(0, -1);
  }

  async printed(count: number): Promise<void> {
    await eventually(() => (this.lines.length >= count ? true : undefined), {
      timeoutMs: DEADLINE_MS,
      what: `${count} lines`,
      context: () => this.agent.process.stderr,
    });
  }

  async live(durationMs: number): Promise<void> {
    await this.liveUntil(delay(durationMs));
  }

  async liveUntil(end: Promise<void>): Promise<void> {
    const over = end.then(() => 'over' as const);
    do this.host.step();
    while ((await Promise.race([over, delay(STEP_MS)])) !== 'over');
  }
}

describe('the first line', () => {
  it('has instance, hardware and utilization when each answer of the metadata service takes 60 ms', async () => {
    const service = await startMetadataService();
    service.answerMs = ANSWER_MS;
    const subject = await Subject.start({ instanceType: 'trn2.48xlarge', periodSeconds: 5, endpoint: service.endpoint });
    await subject.liveUntil(subject.printed(1));
    const [first = ''] = subject.lines;
    const record = parseObject(first);
    expect(record['instance_info']).toMatchObject({ instance_id: METADATA['instance-id'], instance_region: METADATA['placement/region'] });
    expect(record['neuron_hardware_info']).toMatchObject({ neuron_device_count: 16, neuroncore_per_device_count: 4 });
    expect(missingMembersOfRecord(record)).toEqual([]);
    // Of the 60 cores of six processes: a datastore that this process rewrites at the moment of the reading is left out of the line.
    expect(allSmiUtilization(first).size).toBeGreaterThanOrEqual(44);
  });

  it('comes with what the firmware knows when the metadata service never answers', async () => {
    const service = await startMetadataService();
    service.misbehave = () => true;
    const subject = await Subject.start({ instanceType: 'trn2.3xlarge', periodSeconds: 5, endpoint: service.endpoint });
    await subject.liveUntil(subject.printed(1));
    const record = parseObject(subject.lines[0] ?? '');
    expect(record['instance_info']).toMatchObject({ instance_id: subject.host.truth().identity.instanceId, instance_region: '' });
    expect(missingMembersOfRecord(record)).toEqual([]);
    expect(Object.keys(asObject(record['system_data'], 'system_data'))).toContain('memory_info');
  });
});

it("AWS's script adds up exactly what was executed while the agent was stopped and continued", async () => {
  const service = await startMetadataService();
  const subject = await Subject.start({ instanceType: 'trn2.3xlarge', periodSeconds: 1, endpoint: service.endpoint });
  // The host stands still until the first readings were taken.
  await subject.printed(1);
  const before = countsByTag(subject.host.truth());
  for (let pause = 0; pause < 10; pause += 1) {
    await subject.live(200);
    subject.agent.process.kill('SIGSTOP');
    await subject.live(350);
    subject.agent.process.kill('SIGCONT');
  }
  // Two whole cycles of a host that stands still: the last changes are in the first of them.
  await subject.printed(subject.lines.length + 3);
  const script = new AwsScript();
  for (const line of subject.lines) script.read(parseObject(line));
  const after = countsByTag(subject.host.truth());
  for (const { tag } of subject.host.truth().processes) {
    const executed = (after.get(`${tag} completed`) ?? 0) - (before.get(`${tag} completed`) ?? 0);
    expect(script.get('execution_status_total', `runtime_tag=${tag},status_type=completed`)).toBe(executed);
    expect(executed).toBeGreaterThan(50);
  }
});
