import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

const REQUEST = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain;version=0.0.4\r\n\r\n';
const LAST_CHUNK = '0\r\n\r\n';

/** Reads pages over one kept connection with as little work as possible: what is measured is to be the server. */
export class RawClient {
  readonly #socket: Socket;
  readonly #buffer: Buffer;
  #receive: (length: number) => void = () => {};

  private constructor(port: number, bufferBytes: number) {
    this.#buffer = Buffer.alloc(bufferBytes);
    const callback = (length: number): boolean => {
      this.#receive(length);
      return true;
    };
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, onread: { buffer: this.#buffer, callback } });
  }

  static async connect(port: number, bufferBytes = 1 << 20): Promise<RawClient> {
    const client = new RawClient(port, bufferBytes);
    await once(client.#socket, 'connect');
    return client;
  }

  /** Bytes of the answer's body; rejects when the status is not 200 or the connection ends. */
  scrape(): Promise<number> {
    return new Promise((resolve, reject) => {
      const onClose = (): void => reject(new Error('the server has closed the connection'));
      let bodyBytes: number | undefined;
      let received = 0;
      let isChunked = false;
      this.#receive = (length) => {
        if (bodyBytes === undefined) {
          const head = this.#buffer.subarray(0, Math.min(length, 2048)).toString('latin1');
          const end = head.indexOf('\r\n\r\n');
          if (!head.startsWith('HTTP/1.1 200') || end === -1) reject(new Error(`unexpected answer: ${head.slice(0, 100)}`));
          isChunked = /^transfer-encoding: chunked/im.test(head);
          bodyBytes = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? Number.POSITIVE_INFINITY);
          received = -(end + 4);
        }
        received += length;
        const isLast =
          isChunked && this.#buffer.subarray(Math.max(0, length - LAST_CHUNK.length), length).toString('latin1') === LAST_CHUNK;
        if (!isLast && received < bodyBytes) return;
        this.#socket.off('error', reject).off('close', onClose);
        resolve(received);
      };
      this.#socket.once('error', reject).once('close', onClose);
      this.#socket.write(REQUEST);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
