require('./support/pages').runPages('simulate');
