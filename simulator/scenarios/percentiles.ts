/** Median and 99th percentile of a sample, in the sample's unit; null for an empty one. */
export interface Percentiles {
  p50: number | null;
  p99: number | null;
}

/** Nearest-rank percentiles, rounded to a tenth. */
export function percentiles(sample: readonly number[]): Percentiles {
  const sorted = [...sample].sort((a, b) => a - b);
  const at = (share: number) => {
    const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
    return value === undefined ? null : Math.round(value * 10) / 10;
  };
  return { p50: at(0.5), p99: at(0.99) };
}
