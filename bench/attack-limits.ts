/** A scrape that takes longer has failed; Prometheus' own default. */
export const SCRAPE_TIMEOUT_MS = 10_000;
