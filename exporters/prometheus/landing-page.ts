/** What the landing page tells people. */
export interface LandingInfo {
  readonly version: string;
  readonly path: string;
  readonly isReady: boolean;
  /** Which source serves which metric group, now. */
  readonly sources: Iterable<readonly [group: string, source: string]>;
}

/** A small page for people who open the endpoint in a browser. */
export function landingPage({ version, path, isReady, sources }: LandingInfo): string {
  const rows = [...sources].map(([group, source]) => `<tr><td>${escapeHtml(group)}</td><td>${escapeHtml(source)}</td></tr>`);
  const table =
    rows.length === 0
      ? '<p>No metric group has delivered data yet.</p>'
      : `<table><tr><th>Metric group</th><th>Source</th></tr>${rows.join('')}</table>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>neuron-otel</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem}td,th{padding:.1rem 1.5rem .1rem 0;text-align:left}</style>
</head>
<body>
<h1>neuron-otel ${escapeHtml(version)}</h1>
<p>OpenTelemetry agent for AWS Neuron hosts.</p>
<ul>
<li><a href="${escapeHtml(path)}">Metrics</a></li>
<li><a href="/-/healthy">Health</a></li>
<li><a href="/-/ready">Readiness</a>: ${isReady ? 'ready' : 'not ready'}</li>
</ul>
${table}
</body>
</html>
`;
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES.get(character) ?? '');
}
