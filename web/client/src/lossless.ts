/** Throws for what JSON would turn into null, {} or nothing without a word. */
export function refuseSilentLoss(this: Record<string, unknown>, key: string, value: unknown): unknown {
  // A Map, a RegExp, a Promise … show none of what they hold; typed arrays show it as an object.
  const isEmpty = (object: object) => ![Object, Array, undefined].includes(object.constructor as never) && !Object.keys(object)[0];
  const lost = {
    number: !Number.isFinite(value),
    // A date that is none has the JSON form null.
    object: value ? ArrayBuffer.isView(value) || isEmpty(value) : this[key] !== value,
    undefined: Array.isArray(this),
    function: true,
    symbol: true,
  };
  if (lost[typeof value as keyof typeof lost]) throw Error(`${key} is ${String(value)}`);
  return value;
}
