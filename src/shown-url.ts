const MASK = '[redacted]';

/**
 * Returns a URL as messages, logs and `validate` may show it: the user info and everything after `?` or `#` are masked. The text may be
 * no URL at all, such as `host:port` or something that a check has just refused; then everything before the last `@` counts as user info.
 */
export function shownUrl(url: string | URL): string {
  const text = String(url);
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*:[/\\]+)?(.*)$/is.exec(text) ?? [];
  const withoutUser = hasUserInfo(text) ? `${MASK}@${rest.slice(rest.lastIndexOf('@') + 1)}` : rest;
  return scheme + withoutUser.replace(/([?#]).*$/s, `$1${MASK}`);
}

/** An `@` in the path of a proper URL is no user info. */
function hasUserInfo(text: string): boolean {
  if (!text.includes('@')) return false;
  const parsed = URL.parse(text);
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) return true;
  return parsed.username !== '' || parsed.password !== '' || !parsed.pathname.includes('@');
}
