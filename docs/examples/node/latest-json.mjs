// For hazelcast.value = "json". JavaScript's numbers are doubles: what has more than 53 bits is rounded here.
import hazelcast from 'hazelcast-client';

const client = await hazelcast.Client.newHazelcastClient({
    clusterName: process.env.HAZELCAST_CLUSTER ?? 'dev',
    network: { clusterMembers: [process.env.HAZELCAST_MEMBER ?? '127.0.0.1:5701'] },
    properties: { 'hazelcast.logging.level': 'WARN' },
});
const map = await client.getMap('scan_bridge');
const scan = await map.get('latest_eigen_scan');
await client.shutdown();
if (scan === null) throw new Error('no scan yet');
const columns = Object.values(scan.columns);
console.log(scan.scan_bridge.source, columns.length && columns[0].length);
