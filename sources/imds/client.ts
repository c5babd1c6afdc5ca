import { Agent, request } from 'node:http';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { AgentError } from '../../src/errors.ts';
import { errnoName } from '../../src/file-error.ts';

/** How one request to the metadata service ended. */
export type Answer =
  | { readonly is: 'answered'; readonly status: number; readonly body: string }
  /** More than the agent is willing to read. */
  | { readonly is: 'too_long' }
  /** No answer within the time, or none at all. */
  | { readonly is: 'silent'; readonly connected: boolean; readonly errno?: string };

/** Values are short; whoever sends more is not the metadata service. */
const MAX_BODY_BYTES = 64 * 1024;
const TOKEN_LIFETIME_SECONDS = 300;

/**
 * Speaks IMDSv2 with one endpoint for one round of questions: a token first, then values. Follows no redirect, uses no proxy,
 * keeps the token in memory only. Nothing throws; the signal ends everything.
 */
export class MetadataClient {
  readonly #base: URL;
  readonly #signal: AbortSignal;
  // An agent of its own: the global one may be told by the environment to use a proxy.
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });
  #token: string | undefined;

  constructor(endpoint: URL, signal: AbortSignal) {
    this.#base = endpoint;
    this.#signal = signal;
  }

  /** Fetches a session token; says why when there is none to be had. */
  async authenticate(): Promise<AgentError | undefined> {
    const answer = await this.#send('PUT', 'latest/api/token', { 'x-aws-ec2-metadata-token-ttl-seconds': TOKEN_LIFETIME_SECONDS });
    // A token goes into a header: nothing but visible ASCII may be in it.
    if (answer.is !== 'answered' || answer.status !== 200 || !/^[\x21-\x7e]{1,1024}$/.test(answer.body)) return noToken(answer);
    this.#token = answer.body;
    return undefined;
  }

  /** Asks for one value below `/latest/meta-data/`. */
  async ask(path: string): Promise<Answer> {
    const headers: OutgoingHttpHeaders = this.#token === undefined ? {} : { 'x-aws-ec2-metadata-token': this.#token };
    return await this.#send('GET', `latest/meta-data/${path}`, headers);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #send(method: 'GET' | 'PUT', path: string, headers: OutgoingHttpHeaders): Promise<Answer> {
    return new Promise((resolve) => {
      let connected = false;
      const outgoing = request(new URL(path, this.#base), { method, headers, agent: this.#agent, signal: this.#signal }, (incoming) => {
        void readBody(incoming).then(resolve);
      });
      outgoing.once('socket', (socket) => {
        connected = !socket.connecting;
        socket.once('connect', () => {
          connected = true;
        });
      });
      outgoing.once('error', (error) => {
        const errno = errnoName(error);
        resolve({ is: 'silent', connected, ...(errno !== undefined && { errno }) });
      });
      outgoing.end();
    });
  }
}

async function readBody(incoming: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) return { is: 'too_long' };
      chunks.push(chunk);
    }
  } catch {
    // Broken off, or out of time: what came so far is worth nothing.
    return { is: 'silent', connected: true };
  }
  return { is: 'answered', status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') };
}

/** Explains a missing token in words that a person can act on. Source: EC2 user guide, instance metadata options. */
function noToken(answer: Answer): AgentError {
  if (answer.is === 'silent') return silence(answer);
  if (answer.is === 'too_long') return because('source_malformed', 'the metadata service sent a token that is too long');
  if (answer.status === 403) return because('source_denied', 'the metadata service is switched off for this instance (HttpEndpoint)');
  if (answer.status === 200) return because('source_malformed', 'the metadata service sent something that is no token');
  return because('source_malformed', `the metadata service answered ${answer.status} where a token was asked for`);
}

function silence({ connected, errno }: { readonly connected: boolean; readonly errno?: string }): AgentError {
  const isLate = errno === 'ABORT_ERR' || errno === undefined;
  if (isLate && connected) {
    const words =
      'the metadata service took the connection and never sent a token: its answer may not travel as far as this container. ' +
      'Raise the hop limit (aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2) or use the host network';
    return because('source_timeout', words);
  }
  if (isLate) return because('source_timeout', 'no connection to the metadata service in time: a firewall or network policy may block it');
  return because('source_absent', `no answer from the metadata service: ${errno}`);
}

function because(code: 'source_absent' | 'source_denied' | 'source_malformed' | 'source_timeout', message: string): AgentError {
  return new AgentError(code, 'imds', message);
}
