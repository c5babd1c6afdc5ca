import { expect, test } from 'vitest';
import { endProcess, startProcess } from '../../support/fixture-process.ts';
import { expectReusedPidsToBeToldApart, neuronHost } from './support.ts';

test('10,000 processes with reused pids are told apart', async () => {
  await expectReusedPidsToBeToldApart(10_000);
});

test('the inspector remembers the last 4,096 processes that were asked for', () => {
  const { host, inspector } = neuronHost();
  const first = 1_000;
  for (let pid = first; pid < first + 5_000; pid += 1) {
    startProcess(host, { pid, startTicks: pid });
    inspector.identify(pid);
    endProcess(host, pid);
  }
  expect(inspector.identify(first)).toBeUndefined();
  expect(inspector.identify(first + 5_000 - 4_097)).toBeUndefined();
  expect(inspector.identify(first + 5_000 - 4_096)).toBeDefined();
});
