// followRevocations reads the feed of ended sessions from its beginning and then
// follows it for as long as the process runs. It resolves to a function that returns
// whether a session has ended, once the feed has been read to its end, so that no
// request is served before.
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
    if (code === 40000) cursor = '' // unknown cursor, as after a restored backup: start over
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
        console.error(error.message) // monitor this: until it succeeds again, ended sessions pass
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
