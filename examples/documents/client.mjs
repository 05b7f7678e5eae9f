// Uploads a document in chunks and goes on where an interrupted upload ended. Node 20 or newer; no
// dependencies.
//
//     node client.mjs http://127.0.0.1:8000 paper.pdf
//     node client.mjs http://127.0.0.1:8000 paper.pdf SESSION_ID     (goes on with that session)
//
// TOWPATH_TOKEN, if it is set, is sent as the bearer token. At most one chunk is in memory.

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { basename } from 'node:path'

const CHUNK = 8 * 1024 * 1024
const TRIES = 5

export class DocumentClient {
  constructor(server, { token = process.env.TOWPATH_TOKEN, clientId = 'example-js' } = {}) {
    this.base = `${server}/api/documents/streaming`
    this.clientId = clientId
    this.headers = token ? { Authorization: `Bearer ${token}` } : {}
  }

  async ask(path, body, type) {
    const headers = type ? { ...this.headers, 'Content-Type': type } : this.headers
    const response = await fetch(this.base + path, { method: 'POST', headers, body })
    const result = await response.json()
    if (!response.ok) throw Object.assign(new Error(result.message), { status: response.status })
    return result
  }

  async begin(file, size) {
    return this.ask('/initiate', JSON.stringify({
      filename: basename(file), file_size: size, client_id: this.clientId, chunk_size: CHUNK,
    }), 'application/json')
  }

  async resume(sessionId) {
    return this.ask('/resume', JSON.stringify({
      session_id: sessionId, client_id: this.clientId,
    }), 'application/json')
  }

  async sendChunk(session, id, bytes) {
    const form = new FormData()
    form.append('chunk_id', id)
    form.append('chunk_offset', id * session.chunk_size)
    form.append('is_final', id === session.total_chunks - 1)
    form.append('checksum', createHash('sha256').update(bytes).digest('hex'))
    form.append('file', new Blob([bytes]))
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.ask(`/chunk/${session.session_id}`, form)
      } catch (error) {
        // A refusal stays one; a broken connection, a wrong checksum or a busy server may pass.
        const passing = error.status === undefined || error.status === 422 || error.status >= 500
        if (!passing || attempt === TRIES) throw error
        await new Promise((done) => setTimeout(done, 200 * 2 ** attempt))
      }
    }
  }

  async upload(path, { sessionId, onProgress = () => {} } = {}) {
    const file = await open(path)
    try {
      const { size } = await file.stat()
      const session = sessionId ? await this.resume(sessionId) : await this.begin(path, size)
      const ids = session.missing_chunks ?? [...Array(session.total_chunks).keys()]
      for (const id of session.upload_complete ? [] : ids) {
        const offset = id * session.chunk_size
        const bytes = Buffer.alloc(Math.min(session.chunk_size, size - offset))
        await file.read(bytes, 0, bytes.length, offset)
        const result = await this.sendChunk(session, id, bytes)
        onProgress(session.session_id, id, result.message)
        if (result.upload_complete) break
      }
      return (await this.ask(`/complete/${session.session_id}`)).document
    } finally {
      await file.close()
    }
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [server, path, sessionId] = process.argv.slice(2)
  const onProgress = (session, id, message) => console.error(`${session} chunk ${id}: ${message}`)
  const uploaded = await new DocumentClient(server).upload(path, { sessionId, onProgress })
  console.log(JSON.stringify(uploaded))
}
