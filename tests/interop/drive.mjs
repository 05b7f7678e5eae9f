// Opens a page in a browser without a window, gives it a file, and prints what it leaves in `done`.
//
//     node drive.mjs '{"browser": "/usr/bin/chromium", "profile": "DIR", "page": "URL", "file": "FILE"}'

import { chromium } from 'playwright-core'

const wanted = JSON.parse(process.argv[2])
const context = await chromium.launchPersistentContext(wanted.profile, {
  executablePath: wanted.browser,
  headless: true,
  chromiumSandbox: false,
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
})
const page = await context.newPage()
const said = []
page.on('console', (message) => said.push(message.text()))
page.on('pageerror', (error) => said.push(String(error)))
try {
  await page.goto(wanted.page)
  await page.locator('input').setInputFiles(wanted.file)
  const done = await page.waitForFunction(() => window.done, undefined, { timeout: wanted.patience })
  console.log(JSON.stringify({ ...(await done.jsonValue()), origin: new URL(page.url()).origin, said }))
} catch (error) {
  console.log(JSON.stringify({ error: String(error), said }))
  process.exitCode = 1
} finally {
  await context.close()
}
