import { tableFromIPC } from 'apache-arrow';
import hazelcast from 'hazelcast-client';

const client = await hazelcast.Client.newHazelcastClient({
    clusterName: process.env.HAZELCAST_CLUSTER ?? 'dev',
    network: { clusterMembers: [process.env.HAZELCAST_MEMBER ?? '127.0.0.1:5701'] },
    properties: { 'hazelcast.logging.level': 'WARN' },
});
const map = await client.getMap('scan_bridge');
const value = await map.get('latest_eigen_scan');
await client.shutdown();
if (value === null) throw new Error('no scan yet');
const scan = tableFromIPC(value);
console.log(scan.schema.metadata.get('scan_bridge.source'), scan.numRows);
