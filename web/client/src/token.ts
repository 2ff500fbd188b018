/**
 * When a JSON Web Token (RFC 7519) expires, in milliseconds since 1970; NaN for one that does not
 * say, undefined for what is none.
 */
export function expiryOf(token: string | undefined): number | undefined {
  try {
    const claims = (token as string).split('.')[1] as string;
    return JSON.parse(atob(claims.replace(/-/g, '+').replace(/_/g, '/'))).exp * 1000;
  } catch {}
  return undefined;
}
