import com.hazelcast.client.HazelcastClient;
import com.hazelcast.client.config.ClientConfig;
import java.io.ByteArrayInputStream;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.ipc.ArrowStreamReader;

public class LatestScan {
    public static void main(String[] args) throws Exception {
        var config = new ClientConfig();
        config.setClusterName(System.getenv().getOrDefault("HAZELCAST_CLUSTER", "dev"));
        config.getNetworkConfig().addAddress(System.getenv().getOrDefault("HAZELCAST_MEMBER", "127.0.0.1:5701"));
        var client = HazelcastClient.newHazelcastClient(config);
        byte[] value = client.<String, byte[]>getMap("scan_bridge").get("latest_eigen_scan");
        client.shutdown();
        if (value == null) throw new IllegalStateException("no scan yet");
        try (var allocator = new RootAllocator();
             var reader = new ArrowStreamReader(new ByteArrayInputStream(value), allocator)) {
            var batch = reader.getVectorSchemaRoot();
            var source = batch.getSchema().getCustomMetadata().get("scan_bridge.source");
            long rows = 0;
            while (reader.loadNextBatch()) rows += batch.getRowCount();
            System.out.println(source + " " + rows);
        }
    }
}
