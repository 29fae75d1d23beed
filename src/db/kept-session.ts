import type { Database, Session, SessionOptions } from './connect.ts';

/** Opens the session when it is first asked for, and when it was ended meanwhile; otherwise it is the same one. */
export type AskForSession = () => Promise<Session>;

/** Lends a session for work on one thing after the other, and closes it at the end, if it was asked for at all. */
export async function withKeptSession<T>(
  { withSession }: Pick<Database, 'withSession'>,
  options: SessionOptions,
  use: (ask: AskForSession) => Promise<T>,
): Promise<T> {
  let opened: Promise<Session> | undefined;
  const closed: Promise<void>[] = [];
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const open = () =>
    new Promise<Session>((resolve, reject) => {
      const whole = withSession(options, (session) => {
        resolve(session);
        return ended;
      });
      closed.push(whole.catch(reject));
    });
  const ask = async () => {
    const known = await opened?.catch(() => undefined);
    if (known?.isOpen()) return known;
    opened = open();
    return opened;
  };
  try {
    return await use(ask);
  } finally {
    end();
    await Promise.all(closed);
  }
}
