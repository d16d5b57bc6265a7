module.exports = { mode: 'production', context: __dirname, entry: './src/main.js', output: { path: `${__dirname}/dist`, clean: true } };
