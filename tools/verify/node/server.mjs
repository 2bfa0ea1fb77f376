// A resource server in Node: verifies access tokens by the published keys and
// refuses those of ended sessions, of which it hears by the revocation feed.
import { createServer } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { followRevocations } from './revocations.mjs'

const { ISSUER, AUDIENCE, JWKS_URL, FEED_URL, CLIENT_ID, CLIENT_SECRET, PORT = '0' } = process.env

// On an unknown kid jose fetches the keys again, at most every cooldownDuration.
const keys = createRemoteJWKSet(new URL(JWKS_URL), { cacheMaxAge: 300_000, cooldownDuration: 5_000 })
const revoked = await followRevocations({ url: FEED_URL, id: CLIENT_ID, secret: CLIENT_SECRET })

async function authenticate(request) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  if (scheme.toLowerCase() !== 'bearer') throw new Error('no bearer token')
  const { payload } = await jwtVerify(token ?? '', keys, {
    issuer: ISSUER,
    audience: AUDIENCE,
    typ: 'at+jwt', // RFC 9068: refuse the issuer's other JWTs
    algorithms: ['ES256', 'EdDSA', 'RS256'],
    requiredClaims: ['exp', 'sub', 'sid'],
  })
  if (revoked(payload.sid)) throw new Error('the session has ended')
  return payload
}

const server = createServer(async (request, response) => {
  try {
    const { sub } = await authenticate(request)
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ sub }))
  } catch {
    response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end()
  }
})
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`))
