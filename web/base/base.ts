/**
 * The path of a proxy below which this server is shown, like "/push"; "" at the root. A page has its script from there:
 * "/push/assets/dashboard.3f9a0c12d4.js"; one that has the script in itself says it in data-base.
 */
export const base: string = document.documentElement.dataset.base ?? scriptPath().replace(/\/assets\/[^/]*$/, '');

function scriptPath(): string {
  const script = document.currentScript;
  return script instanceof HTMLScriptElement && script.src ? new URL(script.src).pathname : '/assets/';
}
