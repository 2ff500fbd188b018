import type { WebStorage } from '@zonecast/client';

/** A storage like sessionStorage, of the test's own. */
export function memory(entries: Record<string, string> = {}): WebStorage & { readonly entries: Map<string, string> } {
  const map = new Map(Object.entries(entries));
  return {
    entries: map,
    getItem: (key) => map.get(key) ?? null,
    setItem: (key, value) => void map.set(key, value),
    removeItem: (key) => void map.delete(key),
  };
}
