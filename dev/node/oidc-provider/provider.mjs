// A provider of tokens for tests: a program gets a JWT by the client-credentials grant.
// node provider.mjs ISSUER HOST PORT CLIENT AUDIENCE, with the client's secret in the variable CLIENT_SECRET
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const [issuer, host, port, client, audience] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const provider = new Provider(issuer, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'walk', use: 'sig', alg: 'RS256' }] },
  clients: [{
    client_id: client,
    client_secret: process.env.CLIENT_SECRET,
    grant_types: ['client_credentials'],
    token_endpoint_auth_method: 'client_secret_post',
    redirect_uris: [],
    response_types: [],
  }],
  ttl: { ClientCredentials: 600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `urn:${audience}`,
      getResourceServerInfo: () => ({
        audience, scope: '', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});
provider.listen(Number(port), host);
