// followRevocations reads the feed of ended sessions from its beginning and then
// follows it for as long as the process lives. What it returns tells whether a
// session has ended. It resolves once the beginning has been read, so that nobody
// is let in before.
export async function followRevocations({ url, id, secret }) {
  const authorization = 'Basic ' + Buffer.from(`${id}:${secret}`).toString('base64')
  const ended = new Map() // sid → when its last token expires, in milliseconds
  let cursor = ''

  async function read(wait) {
    const response = await fetch(`${url}?since=${encodeURIComponent(cursor)}&wait=${wait}`, {
      headers: { authorization },
      signal: AbortSignal.timeout((wait + 10) * 1000),
    })
    const { code, data } = await response.json()
    if (code === 40000) cursor = '' // not known there, as after a restored backup: begin anew
    if (code !== 0) throw new Error(`the revocation feed answers ${code}`)
    for (const { sid, exp } of data.items) ended.set(sid, Date.parse(exp))
    cursor = data.next
    return data.items.length
  }

  async function follow() {
    for (;;) {
      try {
        await read(25)
      } catch (error) {
        console.error(error.message) // and watch this: until it is well again, ends are not heard
        await new Promise((resolve) => setTimeout(resolve, 1000))
      }
      const now = Date.now() - 60_000 // clocks differ
      for (const [sid, exp] of ended) if (exp < now) ended.delete(sid)
    }
  }

  while ((await read(0)) > 0);
  follow()
  return (sid) => ended.has(sid)
}
