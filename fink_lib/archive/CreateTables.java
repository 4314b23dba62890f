import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hbase.HBaseConfiguration;
import org.apache.hadoop.hbase.TableExistsException;
import org.apache.hadoop.hbase.TableName;
import org.apache.hadoop.hbase.client.Admin;
import org.apache.hadoop.hbase.client.ColumnFamilyDescriptorBuilder;
import org.apache.hadoop.hbase.client.Connection;
import org.apache.hadoop.hbase.client.ConnectionFactory;
import org.apache.hadoop.hbase.client.TableDescriptorBuilder;
import org.apache.hadoop.hbase.regionserver.BloomType;
import org.apache.hadoop.hbase.util.Bytes;

/**
 * Makes tables with their regions, which the Thrift server cannot do. Arguments: ZooKeeper's hosts and port. Each line
 * of the input is a table: name, families and first keys of the regions, separated by tabs, the lists by commas.
 */
public class CreateTables {
    public static void main(String[] arguments) throws Exception {
        Configuration configuration = HBaseConfiguration.create();
        configuration.set("hbase.zookeeper.quorum", arguments[0]);
        configuration.set("hbase.zookeeper.property.clientPort", arguments[1]);
        configuration.setInt("hbase.client.retries.number", 6);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        try (Connection connection = ConnectionFactory.createConnection(configuration);
                Admin admin = connection.getAdmin()) {
            List<Future<Void>> begun = new ArrayList<>();
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                String[] words = line.split("\t", -1);
                TableDescriptorBuilder table = TableDescriptorBuilder.newBuilder(TableName.valueOf(words[0]));
                for (String family : words[1].split(",")) {
                    table.setColumnFamily(ColumnFamilyDescriptorBuilder.newBuilder(Bytes.toBytes(family))
                            .setMaxVersions(1).setBloomFilterType(BloomType.ROW).build());
                }
                List<byte[]> splits = new ArrayList<>();
                for (String split : words[2].split(",")) {
                    if (!split.isEmpty()) {
                        splits.add(Bytes.toBytes(split));
                    }
                }
                byte[][] regions = splits.isEmpty() ? null : splits.toArray(new byte[0][]);
                try {
                    begun.add(admin.createTableAsync(table.build(), regions));
                } catch (TableExistsException made) {
                    // by another process, since it was looked for
                }
            }
            for (Future<Void> one : begun) {
                try {
                    one.get();
                } catch (java.util.concurrent.ExecutionException error) {
                    if (!(error.getCause() instanceof TableExistsException)) {
                        throw error;
                    }
                }
            }
        }
    }
}
