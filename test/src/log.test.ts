import { describe, expect, it } from 'vitest';
import { AgentError } from '../../src/errors.ts';
import { createLogger } from '../../src/log.ts';
import type { LogFormat } from '../../src/log.ts';

function lines(verbosity: number, format: LogFormat = 'text') {
  const written: string[] = [];
  return { written, logger: createLogger({ verbosity, format, write: (line) => void written.push(line) }) };
}

describe('createLogger', () => {
  it.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 4],
  ] as const)('at --verbose %i writes %i of the four levels', (verbosity, expected) => {
    const { logger, written } = lines(verbosity);
    logger.error({}, 'e');
    logger.warn({}, 'w');
    logger.info({}, 'i');
    logger.debug({}, 'd');
    expect(written).toHaveLength(expected);
  });

  it('writes one readable line: time, level, component, message, cause, fields', () => {
    const { logger, written } = lines(3);
    logger
      .child({ component: 'otlp' })
      .error({ err: new AgentError('export_retryable', 'otlp', 'refused'), points: 3, note: 'a b' }, 'export failed');
    expect(written.join('')).toMatch(/^\S+Z error otlp: export failed \(export_retryable: refused\) points=3 note="a b"\n$/);
  });

  it('writes JSON with stable keys on request', () => {
    const { logger, written } = lines(3, 'json');
    logger.warn({ group: 'memory_info', err: new AgentError('source_stale', 'x', 'late') }, 'stale');
    expect(JSON.parse(written[0] ?? '')).toMatchObject({
      level: 'warn',
      msg: 'stale',
      group: 'memory_info',
      err: { code: 'source_stale', message: 'late' },
    });
  });

  it('lets no control character through to the terminal', () => {
    const { logger, written } = lines(3);
    logger.warn({ tag: '\u001b[2Jx', err: new Error('evil\u001b[31m\nsecond line\u009b') }, 'hostile\u0007');
    expect(written).toHaveLength(1);
    expect(written[0]?.trimEnd()).toMatch(/^[^\p{Cc}]*$/u);
    expect(written[0]).toContain('\\u001b');
  });
});
