// @tus/server with its file store, as its documentation starts it: stock settings.
// node tus_server.mjs MODULES PORT DIRECTORY [CERTIFICATE]
import {readFileSync, mkdirSync} from 'node:fs'
import {createRequire} from 'node:module'
import http from 'node:http'
import https from 'node:https'
import {pathToFileURL} from 'node:url'

const [modules, port, directory, certificate] = process.argv.slice(2)
const require = createRequire(pathToFileURL(`${modules}/`))
const load = async (name) => import(pathToFileURL(require.resolve(name)))
const {Server} = await load('@tus/server')
const {FileStore} = await load('@tus/file-store')

// After some downloads version 2.4.5 closes a stream twice and would end the whole process.
process.on('uncaughtException', (error) => console.error(error))

mkdirSync(directory, {recursive: true})
const tus = new Server({path: '/files', datastore: new FileStore({directory})})
const answer = (request, response) =>
  request.url === '/livez' ? response.end('ok') : tus.handle(request, response)
const pem = certificate && readFileSync(certificate)
const server = pem ? https.createServer({key: pem, cert: pem}, answer) : http.createServer(answer)
server.requestTimeout = 0
server.listen(Number(port), '127.0.0.1')
