// Minifies src/ into dist/: the build needs terser, the program does not.
const fs = require('node:fs');
const { minify } = require('terser');

async function build() {
  fs.mkdirSync('dist', { recursive: true });
  for (const name of fs.readdirSync('src')) {
    const { code } = await minify(fs.readFileSync(`src/${name}`, 'utf8'));
    fs.writeFileSync(`dist/${name}`, code);
  }
}

build();
