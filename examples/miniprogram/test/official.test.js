require('./support/pages').runPages('official');
