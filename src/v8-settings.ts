import { setFlagsFromString } from 'node:v8';

/**
 * Settings of V8 that need not be given at the start, but before the rest of the agent is loaded: import this first. What each of
 * them brings: docs/decisions/memory.md.
 */

// Under a burst of work V8 lets the space for young objects grow to 48 MB and keeps it. The agent's garbage is small and dies young:
// the space it starts with will do, and a flood of requests leaves no trace in the agent's size.
setFlagsFromString('--semi-space-growth-factor=1');
// The rest of the heap grows in small steps.
setFlagsFromString('--heap-growing-percent=25');
// What runs once a second is compiled by Maglev for minutes, and soon again by TurboFan: the code of both stays, and brings nothing.
setFlagsFromString('--no-maglev');
