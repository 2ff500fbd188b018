// Tokens as an issuer would sign them: JSON Web Tokens with HS256 (RFC 7519, RFC 7515).
import { createHmac } from 'node:crypto';

export const secret = 'a secret of the tests, 32 bytes or more';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token for the rooms of these warehouses, for some seconds; negative: it has expired. */
export function sign(warehouses, seconds = 600) {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ warehouses, exp: Math.floor(Date.now() / 1000) + seconds })}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
