import type { Database, Session, SessionOptions } from './connect.ts';

/** Opens the session when it is first asked for; after that it is the same one. */
export type AskForSession = () => Promise<Session>;

/** Lends a session for work on one thing after the other, and closes it at the end, if it was asked for at all. */
export async function withKeptSession<T>(
  { withSession }: Pick<Database, 'withSession'>,
  options: SessionOptions,
  use: (ask: AskForSession) => Promise<T>,
): Promise<T> {
  let opened: Promise<Session> | undefined;
  let closed: Promise<void> = Promise.resolve();
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const open = () =>
    new Promise<Session>((resolve, reject) => {
      closed = withSession(options, (session) => {
        resolve(session);
        return ended;
      });
      closed.catch((error) => {
        opened = undefined;
        reject(error);
      });
    });
  try {
    return await use(() => (opened ??= open()));
  } finally {
    end();
    await closed.catch(() => {});
  }
}
