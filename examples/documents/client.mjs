// Uploads a document in chunks, hears by WebSocket how far it is, and goes on where an interrupted
// upload ended. Node 22, or Node 20 with --experimental-websocket; no dependencies.
//
//     node client.mjs [http://localhost:8000] paper.pdf
//     node client.mjs [http://localhost:8000] paper.pdf SESSION_ID     (goes on with that session)
//
// TOWPATH_TOKEN, if it is set, is sent as the bearer token. At most one chunk is in memory.

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { basename } from 'node:path'

const SERVER = 'http://localhost:8000'
const CHUNK = 8 * 1024 * 1024
const TRIES = 5

export class DocumentClient {
  constructor(server = SERVER, { token = process.env.TOWPATH_TOKEN, clientId = 'example-js' } = {}) {
    this.base = `${server}/api/documents/streaming`
    this.sockets = `${server.replace(/^http/, 'ws')}/ws`
    this.clientId = clientId
    // Browsers cannot give a WebSocket an Authorization: the token goes as a subprotocol.
    this.protocols = token ? ['towpath.v1', `towpath.bearer.${token}`] : ['towpath.v1']
    this.headers = token ? { Authorization: `Bearer ${token}` } : {}
  }

  async ask(path, body, type) {
    const headers = type ? { ...this.headers, 'Content-Type': type } : this.headers
    const response = await fetch(this.base + path, { method: 'POST', headers, body })
    const result = await response.json()
    if (!response.ok) throw Object.assign(new Error(result.message), { status: response.status })
    return result
  }

  // Calls onProgress with the data of each upload_progress until the returned function is called.
  listen(clientId, onProgress) {
    const socket = new WebSocket(`${this.sockets}/${clientId}`, this.protocols)
    socket.onmessage = (event) => {
      const data = JSON.parse(event.data)
      if (data.type === 'upload_progress') onProgress(data.data)
    }
    socket.onerror = () => {} // news are a comfort: the upload does not need them
    return () => socket.close()
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

  async upload(path, { sessionId, onChunk = () => {}, onProgress = () => {} } = {}) {
    const file = await open(path)
    let quiet = () => {}
    try {
      const { size } = await file.stat()
      const session = sessionId ? await this.resume(sessionId) : await this.begin(path, size)
      quiet = this.listen(session.client_id, onProgress)
      const ids = session.missing_chunks ?? [...Array(session.total_chunks).keys()]
      for (const id of session.upload_complete ? [] : ids) {
        const offset = id * session.chunk_size
        const bytes = Buffer.alloc(Math.min(session.chunk_size, size - offset))
        await file.read(bytes, 0, bytes.length, offset)
        const result = await this.sendChunk(session, id, bytes)
        onChunk(session.session_id, id, result.message)
        if (result.upload_complete) break
      }
      return (await this.ask(`/complete/${session.session_id}`)).document
    } finally {
      quiet()
      await file.close()
    }
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const words = process.argv.slice(2)
  const server = /^https?:/.test(words[0]) ? words.shift() : undefined
  const [path, sessionId] = words
  const onChunk = (session, id, message) => console.error(`${session} chunk ${id}: ${message}`)
  const onProgress = (data) => {
    const left = data.estimated_time_remaining ?? '?'
    const speed = Math.round(data.upload_speed_bps / 1024)
    console.error(`${data.progress_percentage} % ${data.message} ${speed} KiB/s, ${left} s left`)
  }
  const uploaded = await new DocumentClient(server).upload(path, { sessionId, onChunk, onProgress })
  console.log(JSON.stringify(uploaded))
}
