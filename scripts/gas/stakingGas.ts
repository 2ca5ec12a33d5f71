import { ethers } from "ethers";

import { opgWei, Role, UNBONDING_SECONDS, type Protocol } from "../../test/support/protocol.ts";
import { tick } from "./clock.ts";
import type { GasMeter } from "./GasMeter.ts";

/** Every function of NodeStaking; the steady cases are the table's. */
export async function measureStaking(protocol: Protocol, gas: GasMeter): Promise<void> {
  const { staking, accounts, owner } = protocol;
  const [, operator, delegator, second, beneficiary, other] = accounts;
  const bond = staking.connect(operator);
  const delegation = staking.connect(delegator);
  // the contract holds OPG already, as it does for all but the very first staker
  await staking.connect(other).stake(Role.Data, opgWei(5));

  gas.row("stake.first", await gas.measure("NodeStaking.stake (first)", bond.stake(Role.Inference, opgWei(50_000))));
  await gas.measure("NodeStaking.stake", bond.stake(Role.Inference, opgWei(50_000)));
  gas.row(
    "stake.delegate",
    await gas.measure("NodeStaking.delegate (first)", delegation.delegate(operator!, Role.Inference, opgWei(1_000), 0)),
  );
  await gas.measure("NodeStaking.delegate", delegation.delegate(operator!, Role.Inference, opgWei(1_000), 0));
  await staking.connect(second).delegate(operator!, Role.Inference, opgWei(1_000), 0);
  gas.row(
    "stake.undelegate",
    await gas.measure("NodeStaking.undelegate (first)", delegation.undelegate(operator!, Role.Inference, opgWei(500))),
  );
  await gas.measure("NodeStaking.undelegate", delegation.undelegate(operator!, Role.Inference, opgWei(100)));
  await gas.measure("NodeStaking.unstake (first)", bond.unstake(Role.Inference, opgWei(100)));

  await gas.measure("NodeStaking.setSlasher", staking.setSlasher(owner, true));
  const slash = (amount: bigint, to = beneficiary!) =>
    staking.slash([{ operator: operator!, role: Role.Inference, amount }], to, 2_000);
  await gas.measure("NodeStaking.slash (beneficiary's first reward)", slash(opgWei(10)));
  gas.row("stake.slash", await gas.measure("NodeStaking.slash", slash(opgWei(10))));
  await gas.measure("NodeStaking.slash (own stake whole, then the pool)", slash(opgWei(100_500)));
  await gas.measure("NodeStaking.slash (more than there is)", slash(ethers.parseEther("300000000")));
  await gas.measure("NodeStaking.claim", staking.connect(beneficiary).claim(beneficiary!));

  await staking.connect(other).unstake(Role.Data, opgWei(2));
  await staking.connect(second).stake(Role.Verifier, opgWei(10));
  await delegation.delegate(second!, Role.Verifier, opgWei(10), 0);
  await delegation.undelegate(second!, Role.Verifier, opgWei(5));
  await tick(protocol, UNBONDING_SECONDS);
  await gas.measure("NodeStaking.withdraw", delegation.withdraw(second!, Role.Verifier, 0));
  await gas.measure("NodeStaking.withdrawOwn", staking.connect(other).withdrawOwn(Role.Data, 0));
  await gas.measure("NodeStaking.transferOwnership", staking.transferOwnership(operator!));
  await gas.measure("NodeStaking.acceptOwnership", bond.acceptOwnership());
  await gas.measure("NodeStaking.renounceOwnership", bond.renounceOwnership());
}
