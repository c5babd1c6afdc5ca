import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { EscapingScheme } from '../../../../exporters/prometheus/naming.ts';
import type { PageFormat } from '../../../../exporters/prometheus/negotiation.ts';
import { PageEncoder } from '../../../../exporters/prometheus/page.ts';
import type { PageOptions } from '../../../../exporters/prometheus/page.ts';

/** One collection in all formats, and what was left out of its pages. */
export interface EncodedPages {
  readonly text: string;
  readonly openMetrics: string;
  readonly protobuf: Buffer;
  readonly conflicts: readonly string[];
}

/** Encodes collections one after the other, as an endpoint does for one scraper of each format. */
export class TestEncoder {
  readonly #encoder: PageEncoder;
  readonly #escaping: EscapingScheme;

  constructor(options: PageOptions = {}, escaping: EscapingScheme = 'underscores') {
    this.#encoder = new PageEncoder(options);
    this.#escaping = escaping;
  }

  pages(collection: readonly ResourceMetrics[]): EncodedPages {
    const { bytes, conflicts } = this.#encode(collection, 'text');
    return {
      text: bytes.toString(),
      openMetrics: this.openMetrics(collection),
      protobuf: this.#encode(collection, 'protobuf').bytes,
      conflicts,
    };
  }

  text(collection: readonly ResourceMetrics[]): string {
    return this.#encode(collection, 'text').bytes.toString();
  }

  openMetrics(collection: readonly ResourceMetrics[]): string {
    return this.#encode(collection, 'openmetrics').bytes.toString();
  }

  #encode(collection: readonly ResourceMetrics[], format: PageFormat) {
    return this.#encoder.encode(collection, { format, escaping: this.#escaping, selection: undefined });
  }
}

/** One collection in all formats, made by an encoder that has seen no other. */
export function freshPages(
  collection: readonly ResourceMetrics[],
  options: PageOptions = {},
  escaping: EscapingScheme = 'underscores',
): EncodedPages {
  return new TestEncoder(options, escaping).pages(collection);
}
