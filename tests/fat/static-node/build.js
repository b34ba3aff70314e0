const fs = require('fs');
fs.mkdirSync('dist', { recursive: true });
fs.writeFileSync('dist/index.html', `<p>${fs.readFileSync('page.md', 'utf8').trim()}</p>\n`);
