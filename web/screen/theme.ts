/** Gives the page one of its two themes, whatever the browser prefers: the rules of the dark one hold always, or never. */
export function choose(theme: 'light' | 'dark'): void {
  document.documentElement.style.colorScheme = theme;
  for (const sheet of document.styleSheets)
    for (const rule of sheet.cssRules)
      if (rule instanceof CSSMediaRule && rule.media.mediaText === '(prefers-color-scheme: dark)')
        rule.media.mediaText = theme === 'dark' ? 'all' : 'not all';
}
