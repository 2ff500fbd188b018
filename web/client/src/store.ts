/** What is needed of sessionStorage, or of what stands in for it. */
export interface WebStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Small texts by name, kept as long as the session lasts, or at least as long as the client. */
export interface Store {
  get(name: string): string | null | undefined;
  /** An empty text is as good as none. */
  set(name: string, value: string): void;
}

/**
 * Opens the names that begin with `prefix`. A storage that is missing, full or forbidden is no
 * error: memory stands in for it.
 */
export function openStore(prefix: string, storage?: WebStorage): Store {
  const memory = new Map<string, string>();
  const attempt = <T>(use: (storage: WebStorage) => T): T | undefined => {
    try {
      // Looking at it may already throw, in a frame that has no origin.
      return use(storage ?? (globalThis as unknown as { sessionStorage: WebStorage }).sessionStorage);
    } catch {}
    return undefined;
  };
  return {
    get: (name) => memory.get(name) ?? attempt((from) => from.getItem(prefix + name)),
    set(name, value) {
      memory.set(name, value);
      attempt((to) => (value ? to.setItem(prefix + name, value) : to.removeItem(prefix + name)));
    },
  };
}
