import { setFlagsFromString } from 'node:v8';

/**
 * Imported first, for its effect: settings of V8 that need not be given when Node starts, but before the rest of the agent is loaded.
 * docs/decisions/memory.md has what each of them brings.
 */

// Under a burst of work V8 lets the space for young objects grow to 48 MB and keeps it. The agent's garbage is small and dies young:
// the space it starts with will do, and a flood of requests leaves no trace in the agent's size.
setFlagsFromString('--semi-space-growth-factor=1');
// The rest of the heap grows in small steps.
setFlagsFromString('--heap-growing-percent=25');
// Code that runs once a second is compiled by Maglev, and before that has paid by TurboFan as well; the code of both takes memory.
setFlagsFromString('--no-maglev');
