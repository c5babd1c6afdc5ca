import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { projectRoot } from './agent.ts';

/** One fenced block of a Markdown file. */
export interface CodeBlock {
  /** Path from the project's root and line of the fence, for messages. */
  readonly place: string;
  /** First word behind the fence. */
  readonly language: string;
  /** Program that a configuration is for: the file that a comment in its first line names, else the agent. */
  readonly kind: 'agent' | 'prometheus' | 'web' | 'container';
  readonly text: string;
}

/** Languages of blocks that show something and hold nothing to run. */
export const SHOWN_ONLY: ReadonlySet<string> = new Set(['text', 'ini', 'json', 'ts', 'mermaid']);

/** Markdown files of the project that users read; decisions and test notes are not among them. */
export function userDocuments(): readonly string[] {
  return execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], { cwd: projectRoot, encoding: 'utf8' })
    .split('\n')
    .filter((path) => path !== '' && !path.startsWith('test/') && !path.startsWith('docs/decisions/'));
}

export function codeBlocks(path: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: { readonly line: number; readonly info: readonly string[]; readonly lines: string[] } | undefined;
  for (const [index, line] of readFileSync(join(projectRoot, path), 'utf8').split('\n').entries()) {
    if (!line.trimStart().startsWith('```')) {
      open?.lines.push(line);
    } else if (open === undefined) {
      open = { line: index + 1, info: line.trim().slice(3).split(/\s+/), lines: [] };
    } else {
      const [language = ''] = open.info;
      blocks.push({ place: `${path}:${open.line}`, language, kind: kindOf(open.lines[0] ?? ''), text: open.lines.join('\n') });
      open = undefined;
    }
  }
  return blocks;
}

function kindOf(firstLine: string): CodeBlock['kind'] {
  if (firstLine.startsWith('# prometheus.yml')) return 'prometheus';
  if (firstLine.startsWith('# container of a pod')) return 'container';
  return firstLine.startsWith('# web.yml') ? 'web' : 'agent';
}

/** Lines indented by four spaces outside of lists and fences are code that no language names. */
export function indentedCode(path: string): readonly string[] {
  let fenced = false;
  let before = '';
  return readFileSync(join(projectRoot, path), 'utf8')
    .split('\n')
    .flatMap((line, index) => {
      if (line.trimStart().startsWith('```')) fenced = !fenced;
      const isCode = !fenced && /^ {4}\S/.test(line) && before === '';
      before = line.trim();
      return isCode ? [`${path}:${index + 1}`] : [];
    });
}
