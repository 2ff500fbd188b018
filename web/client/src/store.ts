/** What is needed of sessionStorage, or of what stands in for it. */
export interface WebStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Small texts by name, kept as long as the session lasts, or at least as long as the client. */
export interface Store {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  delete(name: string): void;
}

/**
 * Opens the names that begin with `prefix`. A storage that is missing, full or forbidden is no
 * error: memory stands in for it.
 */
export function openStore(prefix: string, storage?: WebStorage): Store {
  const memory = new Map<string, string | undefined>();
  const attempt = <T>(use: (storage: WebStorage) => T): T | undefined => {
    try {
      // Looking at it may already throw, in a frame that has no origin.
      return use(storage ?? (globalThis as unknown as { sessionStorage: WebStorage }).sessionStorage);
    } catch {}
    return undefined;
  };
  return {
    get(name) {
      if (memory.has(name)) return memory.get(name);
      return attempt((from) => from.getItem(prefix + name)) ?? undefined;
    },
    set(name, value) {
      memory.set(name, value);
      attempt((to) => to.setItem(prefix + name, value));
    },
    delete(name) {
      memory.set(name, undefined);
      attempt((from) => from.removeItem(prefix + name));
    },
  };
}
