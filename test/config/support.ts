import type { AgentConfig } from '../../cli/config.ts';
import type { LoadInput } from '../../config/load.ts';
import type { ConfigProblem } from '../../config/problems.ts';
import { loadInput } from '../support/settings.ts';

/** Loads what must be good. */
export function loaded(input: Partial<LoadInput>): AgentConfig {
  const result = loadInput(input);
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.problems)}`);
  return result.config;
}

export function warningsOf(input: Partial<LoadInput>): readonly ConfigProblem[] {
  const result = loadInput(input);
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.problems)}`);
  return result.warnings;
}

/** Loads what must be bad. */
export function problemsOf(input: Partial<LoadInput>): readonly ConfigProblem[] {
  const result = loadInput(input);
  if (result.ok) throw new Error(`accepted: ${JSON.stringify(result.config)}`);
  return result.problems;
}
