import packageJson from '../package.json' with { type: 'json' };

/** Version of the agent; the bundle carries it as a constant. */
export const VERSION: string = packageJson.version;
