/** How often the screen asks which version of the page the server has, about. In milliseconds. */
const ASK_VERSION = 15_000;

const { build = '' } = document.documentElement.dataset;
/** The version that the server had when it was last asked. */
let otherBuild: string | null = null;

/**
 * Loads the page anew when the server has another version of it. While that is rolled out each answer may be of another
 * instance: a version counts when two answers in a row have it.
 */
async function reloadWhenOutdated(isQuiet: () => boolean): Promise<void> {
  const answer = await fetch(location.pathname, { method: 'HEAD', cache: 'no-store' });
  const present = answer.ok ? answer.headers.get('Zonecast-Build') : null;
  const confirmed = present !== null && present !== build && present === otherBuild;
  otherBuild = present;
  if (confirmed && isQuiet()) location.reload();
}

/** Keeps the page at the version of the server. It is loaded anew only while isQuiet: when nobody is about to enter a PIN. */
export function followVersion(isQuiet: () => boolean): void {
  const again = () => followVersion(isQuiet);
  setTimeout(() => reloadWhenOutdated(isQuiet).catch(() => {}).finally(again), ASK_VERSION * (0.75 + Math.random() / 2));
}
