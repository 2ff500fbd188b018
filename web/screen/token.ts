/**
 * The token in the address of a screen, /screen/{warehouse}/{zone}#token=… or ?token=…; undefined when there is none. What
 * stands behind # is never sent to a server, so it gets into no log on the way.
 */
export function tokenOf({ hash, search }: Pick<Location, 'hash' | 'search'>): string | undefined {
  const of = (text: string) => new URLSearchParams(text.slice(1)).get('token')?.trim() || undefined;
  return of(hash) ?? of(search);
}

/** The header with which a request carries it. */
export function bearer(token: string | undefined): Record<string, string> {
  return token ? { Authorization: `Bearer ${token}` } : {};
}
