// A page's script: uploads the file of its input with Uppy, and leaves what became of it in `done`.
//
// The address's query says where and how: ?endpoint=...&options={...}

import Uppy from '@uppy/core'
import Tus from '@uppy/tus'

const told = new URLSearchParams(location.search)
const requests = []

document.querySelector('input').addEventListener('change', async (event) => {
  const [file] = event.target.files
  const uppy = new Uppy({ autoProceed: false })
  uppy.use(Tus, {
    endpoint: told.get('endpoint'),
    retryDelays: [0, 50, 100, 200],
    ...JSON.parse(told.get('options') ?? '{}'),
    onAfterResponse: (request, response) => {
      requests.push([request.getMethod(), response.getStatus()])
    },
  })
  uppy.addFile({ name: file.name, type: file.type, data: file })
  const result = await uppy.upload()
  window.done = {
    urls: result.successful.map((each) => each.uploadURL),
    failed: result.failed.map((each) => String(each.error)),
    requests,
  }
})
