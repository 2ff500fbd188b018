/**
 * The path of a proxy below which this server is shown, like "/push"; "" at the root. A page has its script from there:
 * "/push/assets/screen.3f9a0c12d4.js".
 */
export const base: string = scriptPath().replace(/\/assets\/[^/]*$/, '');

function scriptPath(): string {
  const script = document.currentScript;
  return script instanceof HTMLScriptElement && script.src ? new URL(script.src).pathname : '/assets/';
}
