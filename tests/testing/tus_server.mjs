// Other people's tus server on a port, with its files in a directory:  node tus_server.mjs PORT DIR
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(new URL('../interop/package.json', import.meta.url))
const load = (name) => import(pathToFileURL(require.resolve(name)))
const { Server } = await load('@tus/server')
const { FileStore } = await load('@tus/file-store')

const [port, directory] = process.argv.slice(2)
mkdirSync(directory, { recursive: true })
const day = 24 * 60 * 60 * 1000
const datastore = new FileStore({ directory, expirationPeriodInMilliseconds: day })
const tus = new Server({ path: '/files', datastore, relativeLocation: true, maxSize: 2 ** 40 })
createServer((asked, answer) => {
  if (asked.url === '/livez') answer.end('ok')
  else tus.handle(asked, answer)
}).listen(Number(port), '127.0.0.1')
