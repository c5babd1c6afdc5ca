import packageJson from '../package.json' with { type: 'json' };

/** Version of the agent, as `--version`, resources and scopes show it. */
export const VERSION: string = packageJson.version;
