// Uploads one file with tus-js-client and prints what became of it, as JSON.
//
//     node upload.mjs '{"endpoint": "...", "file": "...", "options": {...}, "stopAt": bytes}'
//
// `client` is the package to use, tus-js-client if it is not said.
// With `inMemory` it is given the file's content, not the file.
// With `urlStorage`, a file of remembered uploads, an earlier upload of the same file is carried on.
// With `stopAt` the upload is aborted once so many bytes are sent.

import { createReadStream, readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'

const wanted = JSON.parse(process.argv[2])
const tus = await import(wanted.client ?? 'tus-js-client')
const requests = []
const end = (outcome) => {
  console.log(JSON.stringify({ ...outcome, requests }))
  process.exit(outcome.error ? 1 : 0)
}
// A length that is deferred is for streams of which the client knows no file.
const file = createReadStream(wanted.file)
const streamed = wanted.options?.uploadLengthDeferred ? file.pipe(new PassThrough()) : file
const source = wanted.inMemory ? readFileSync(wanted.file) : streamed
const upload = new tus.Upload(source, {
  endpoint: wanted.endpoint,
  retryDelays: [0, 50, 100, 200],
  ...(wanted.urlStorage && { urlStorage: new tus.FileUrlStorage(wanted.urlStorage) }),
  ...wanted.options,
  onAfterResponse: (request, response) => {
    requests.push([request.getMethod(), response.getStatus()])
  },
  onProgress: (sent) => {
    if (wanted.stopAt && sent >= wanted.stopAt) {
      upload.abort().then(() => end({ url: upload.url, stopped: true }))
    }
  },
  onError: (error) => end({ error: String(error) }),
  onSuccess: () => end({ url: upload.url }),
})
const previous = wanted.urlStorage ? await upload.findPreviousUploads() : []
if (previous.length) upload.resumeFromPreviousUpload(previous[0])
upload.start()
